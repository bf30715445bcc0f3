// Leaves a page open, reads what it says without ever reloading it, and ends when it says what is waited for.
//
//   node live.mjs PAGE FOLDER NAME WORDS
//
// Says {"opened": …} as its first line, when the page follows; and at the end, as its last, what there was to see.
import { createRequire } from "node:module";
import path from "node:path";

const require = createRequire(path.join(process.env.HERALD_TEST_BROWSER, "package.json"));
const { chromium } = require("playwright-core");

const [page, folder, name, words] = process.argv.slice(2);
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
const browser = await chromium.launch({
    executablePath: process.env.HERALD_TEST_CHROMIUM,
    args: [...flags, "--disable-component-update", "--disable-sync"],
});
const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, timezoneId: "Asia/Kolkata", locale: "en-GB" });
const tab = await context.newPage();
const said = [];
let loads = 0;
tab.on("console", (message) => said.push(message.text()));
tab.on("pageerror", (error) => said.push(String(error)));
tab.on("load", () => (loads += 1));
await tab.goto(page);
await tab.waitForFunction(() => document.documentElement.dataset.live === "yes");
const first = await tab.evaluate(() => ({ state: document.querySelector(".state")?.textContent, time: document.querySelector("time")?.textContent }));
// What somebody has opened stays open.
const opened = tab.locator("details").first();
if (await opened.count()) await opened.locator("summary").click();
console.log(JSON.stringify({ opened: page, ...first }));
await tab.waitForFunction((words) => document.getElementById("main").innerText.includes(words), words, { timeout: 120_000 });
await tab.waitForTimeout(300);
const last = await tab.evaluate(() => ({
    state: document.querySelector(".state")?.textContent,
    news: document.getElementById("news").textContent,
    open: document.querySelectorAll("details[open]").length,
}));
await tab.screenshot({ path: path.join(folder, `${name}-live.png`) });
await browser.close();
console.log(JSON.stringify([{ ...last, loads, said }]));
