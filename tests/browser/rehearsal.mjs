// Plays a rehearsal through as a viewer would: reacts, asks, presses, replies, lets the chain stand still and the bot crash,
// and looks at what is said.
//
//   node rehearsal.mjs PAGE FOLDER
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const require = createRequire(path.join(process.env.HERALD_TEST_BROWSER, "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const [page, folder] = process.argv.slice(2);
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
const browser = await chromium.launch({
    executablePath: process.env.HERALD_TEST_CHROMIUM,
    args: [...flags, "--disable-component-update", "--disable-sync"],
});
const found = { said: [], asked: [], violations: [], wider: [] };
const context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, colorScheme: "light" });
const tab = await context.newPage();
tab.setDefaultTimeout(1_200_000);
tab.on("console", (message) => found.said.push(message.text()));
tab.on("pageerror", (error) => found.said.push(String(error)));
tab.on("request", (request) => { if (!request.url().startsWith(new URL(page).origin) && !request.url().startsWith("data:")) found.asked.push(request.url()); });
const step = (name) => { found.at = name; };
const look = async (name) => {
    await tab.evaluate(axe);
    const checked = await tab.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"] }));
    found.violations.push(...checked.violations.map((v) => `${name} ${v.id}: ${v.nodes.length} times, ${v.nodes[0].html.slice(0, 200)} ${v.nodes[0].failureSummary ?? ""}`));
    found.wider.push(await tab.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth));
    await tab.screenshot({ path: path.join(folder, `rehearsal-${name}.png`) });
};
const log = (words) => tab.waitForFunction((words) => document.getElementById("log").innerText.includes(words), words);
const discord = tab.locator("#room-discord-upgrades");
const matrix = tab.locator("#room-matrix-upgrades");
try {
    await tab.goto(page);
    step("the first posts come");
    await discord.locator("li[data-id]").first().waitFor();
    await matrix.locator("li[data-id]").first().waitFor();
    await tab.locator("#pause").click();
    await tab.waitForFunction(() => document.getElementById("pause").textContent === "Go on");
    const before = await tab.locator("#now").textContent();

    step("a reaction");
    const announced = discord.locator("li[data-id]").filter({ hasText: "is coming" }).first();
    await announced.getByRole("button", { name: "👍" }).first().click();
    await tab.waitForFunction(() => [...document.querySelectorAll("#room-discord-upgrades button[aria-pressed=true]")].some((b) => b.textContent.includes("👍 ")));

    step("a command on each platform");
    for (const [room, line] of [[discord, "/upgrade status"], [matrix, "!upgrade status"]]) {
        await room.locator("form.say:last-child input").fill(line);
        await room.locator("form.say:last-child button").click();
        await room.locator(".only .words").filter({ hasText: "scheduled" }).waitFor();
    }
    step("a press that says all nodes are ready");
    await discord.getByRole("button", { name: "All our nodes are ready" }).first().click();
    await discord.locator(".only .words").filter({ hasText: "is ready" }).waitFor();
    found.ready = await discord.locator(".only .words").innerText();
    await look("asked");
    await tab.waitForTimeout(1500);
    for (const room of [discord, matrix]) await room.getByRole("button", { name: "Dismiss" }).click();
    found.stood = before === (await tab.locator("#now").textContent());

    step("the window, and a chain that stands still");
    await tab.locator("[data-fault=stall]").click();
    await tab.locator("#speed").selectOption("2000");
    await tab.locator("#pause").click();
    await log("the chain stands still");
    await matrix.locator("li[data-id]").filter({ hasText: /has finalized no block|stands still|no new block/i }).first().waitFor();
    await tab.locator("#pause").click();
    await look("stall");
    await tab.locator("#pause").click();
    await log("the chain goes on");

    step("a crash in the middle of a post");
    await tab.locator("[data-fault=crash]").click();
    await log("herald is started again");

    step("a thread, and a reply in it");
    const thread = matrix.getByRole("button", { name: "Reply in its thread" }).first();
    await thread.waitFor();
    await tab.locator("#pause").click();
    await thread.click();
    await matrix.locator("form.say:last-child input").fill("My indexer <b>lags</b> behind.");
    await matrix.locator("form.say:last-child button").click();
    await matrix.locator("li.reply").filter({ hasText: "My indexer <b>lags</b> behind." }).waitFor();

    step("a press, and a window to write into");
    const feedback = discord.getByRole("button", { name: "Tell us how it went" }).last();
    await feedback.click();
    await discord.locator(".only input").fill("All is well here.");
    await discord.locator(".only form button").click();
    await discord.locator(".only .words").filter({ hasText: "Thank you" }).waitFor();
    await look("replied");
    await tab.locator("#pause").click();

    step("the end");
    await tab.waitForFunction(() => document.getElementById("state").textContent.includes("the end"));
    found.state = await tab.locator("#state").textContent();
    // Every notice is in each room once.
    found.twice = await tab.evaluate(() => [...document.querySelectorAll(".room")].flatMap((room) => {
        const heads = [...room.querySelectorAll("li[data-id]:not(.reply) .words h3, li[data-id]:not(.reply) .words h2")].map((h) => `${room.id}: ${h.textContent}`);
        // Reminders differ in how long it is until then, which the clock of the end makes the same. Who has not answered is asked
        // as often as the plan says.
        const repeats = ["Reminder", "please answer"];
        return heads.filter((h, i) => heads.indexOf(h) !== i && !repeats.some((words) => h.includes(words)));
    }));
    found.summary = await matrix.locator("li[data-id]").filter({ hasText: "what you told us" }).first().innerText();
    await look("end");

    step("on a phone, in the dark");
    const phone = await browser.newPage({ viewport: { width: 390, height: 844 }, colorScheme: "dark" });
    await phone.goto(page);
    await phone.locator("#room-matrix-upgrades li[data-id]").first().waitFor();
    found.wider.push(await phone.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth));
    await phone.screenshot({ path: path.join(folder, "rehearsal-phone.png") });

    step("again, and called failed");
    await tab.locator("#again").click();
    await tab.waitForFunction(() => !document.getElementById("state").textContent.includes("the end"));
    await discord.locator("li[data-id]").filter({ hasText: "is coming" }).first().waitFor();
    await tab.locator("[data-fault=delay]").click();
    await discord.locator("li[data-id]").filter({ hasText: "has a new time" }).first().waitFor();
    await tab.locator("[data-fault=fail]").click();
    await tab.waitForFunction(() => document.getElementById("state").textContent.includes("failed"));
    found.done = true;
} catch (error) {
    found.error = String(error);
    found.log = await tab.evaluate(() => document.getElementById("log").innerText.slice(-2000)).catch(() => "");
    await tab.screenshot({ path: path.join(folder, "rehearsal-error.png") }).catch(() => {});
}
await browser.close();
console.log(JSON.stringify([found]));
