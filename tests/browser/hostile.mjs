// Opens every page of a folder, in which hostile texts stand in every place, and says what became of them.
//
//   node hostile.mjs FOLDER
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const require = createRequire(path.join(process.env.HERALD_TEST_BROWSER, "package.json"));
const { chromium } = require("playwright-core");

const [folder] = process.argv.slice(2);
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
const browser = await chromium.launch({
    executablePath: process.env.HERALD_TEST_CHROMIUM,
    args: [...flags, "--disable-component-update", "--disable-sync"],
});
const found = [];
for (const file of readdirSync(folder).sort()) {
    const tab = await browser.newPage();
    let ran = 0;
    const asked = [];
    tab.on("dialog", (dialog) => { ran += 1; dialog.dismiss(); });
    await tab.exposeFunction("hostile", () => { ran += 1; });
    // Answered by this script alone, without the policy that would stop what got out.
    await tab.route("**/*", (route) => {
        const url = route.request().url();
        if (url === "http://page.test/") return route.fulfill({ contentType: "text/html; charset=utf-8", body: readFileSync(path.join(folder, file)) });
        asked.push(url);
        return route.abort();
    });
    await tab.goto("http://page.test/");
    await tab.waitForTimeout(30);
    const page = await tab.evaluate(() => {
        const shape = (e) => e.classList.contains("words") ? "words" : `${e.localName}[${[...e.getAttributeNames()].sort()}](${[...e.children].map(shape)})`;
        const words = [...document.querySelectorAll(".words *")];
        return {
            shape: shape(document.documentElement),
            words: [...new Set(words.map((e) => `${e.localName}[${[...e.getAttributeNames()].sort()}]`))],
            links: [...document.querySelectorAll("a")].map((a) => a.protocol).filter((p) => !["http:", "https:", "mailto:"].includes(p)),
            title: document.querySelector("h1")?.textContent,
        };
    });
    found.push({ file, ran, ...page, asked: asked.filter((url) => !["/herald.css", "/herald.js", "/state.svg"].includes(new URL(url).pathname)) });
    await tab.close();
}
await browser.close();
console.log(JSON.stringify(found));
