// Opens a page in a headless browser, as a reader on a desktop and on a phone would, in light and in dark, and says what it
// found there as one line of JSON. Its pictures go into a folder.
//
//   node look.mjs PAGE FOLDER NAME [noscript]
//
// With `noscript` there are two more views, of a browser that runs no script; axe is a script, so it is left out there.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

// The packages are where tests/run has put them.
const require = createRequire(path.join(process.env.HERALD_TEST_BROWSER, "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const [page, folder, name, without] = process.argv.slice(2);
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
const browser = await chromium.launch({
    executablePath: process.env.HERALD_TEST_CHROMIUM,
    args: [...flags, "--disable-component-update", "--disable-sync"],
});
const views = [
    { view: "desktop-light", width: 1280, height: 900, colorScheme: "light" },
    { view: "desktop-dark", width: 1280, height: 900, colorScheme: "dark" },
    { view: "phone-light", width: 390, height: 844, colorScheme: "light" },
    { view: "phone-dark", width: 390, height: 844, colorScheme: "dark" },
];
if (without) {
    views.push({ view: "desktop-noscript", width: 1280, height: 900, colorScheme: "light", javaScriptEnabled: false });
    views.push({ view: "phone-noscript", width: 390, height: 844, colorScheme: "light", javaScriptEnabled: false });
}
const own = page.startsWith("http") ? new URL(page).origin : page;
const found = [];
for (const { view, width, height, colorScheme, javaScriptEnabled = true } of views) {
    const context = await browser.newContext({ viewport: { width, height }, colorScheme, javaScriptEnabled });
    const tab = await context.newPage();
    const said = [];
    const asked = [];
    tab.on("console", (message) => said.push(message.text()));
    tab.on("pageerror", (error) => said.push(String(error)));
    tab.on("request", (request) => asked.push(request.url()));
    await tab.goto(page);
    const shown = await tab.evaluate(() => {
        const of = (selector) => [...document.querySelectorAll(selector)];
        return {
            wider: document.documentElement.scrollWidth - document.documentElement.clientWidth,
            // What sticks out of the article that it is in.
            out: of("article *").filter((e) => {
                const box = e.getBoundingClientRect();
                const article = e.closest("article").getBoundingClientRect();
                return box.width > 0 && box.right > article.right + 1 && !e.closest("pre");
            }).length,
            articles: of("article").length,
            cards: of(".card").length,
            buttons: of(".buttons span").length,
            text: document.body.innerText,
            pictures: of("img").filter((i) => i.complete && i.naturalWidth > 0).length,
        };
    });
    // axe is handed over by the debugger: the page's own policy lets no script run.
    const rules = { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"] };
    let checked = { violations: [] };
    if (javaScriptEnabled) {
        await tab.evaluate(axe);
        checked = await tab.evaluate((rules) => window.axe.run(document, rules), rules);
    }
    const violations = checked.violations.map((v) => `${v.id}: ${v.nodes.length} times, ${v.nodes[0].html.slice(0, 160)} ${v.nodes[0].failureSummary ?? ""}`);
    await tab.screenshot({ path: path.join(folder, `${name}-${view}.png`), fullPage: page.startsWith("http") });
    for (const id of ["announced", "applied", "verified"].filter(() => width > 1000 && colorScheme === "light")) {
        const section = tab.locator(`#${id}`);
        if (await section.count()) await section.screenshot({ path: path.join(folder, `${name}-${id}.png`) });
    }
    found.push({ view, ...shown, violations, said, asked: asked.filter((url) => !url.startsWith("data:") && !url.startsWith(own)) });
    await context.close();
}
await browser.close();
console.log(JSON.stringify(found));
