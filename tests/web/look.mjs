// Opens the page in Chromium at 360 and 1200 px, light and dark: axe must find nothing, nothing may be wider than the
// screen, and a picture of each is written.
//     node look.mjs MODULES BASE FOLDER PATH…     MODULES: a folder with axe-core and playwright-core in node_modules
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const [modules, base, folder, ...paths] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: flags });
let wrong = 0;
for (const [width, height] of [[360, 740], [1200, 900]]) {
  for (const colorScheme of ["light", "dark"]) {
    const page = await browser.newPage({ viewport: { width, height }, colorScheme });
    for (const path of paths) {
      await page.goto(base + path);
      const size = await page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]");
      await page.evaluate(axe);
      const { violations } = await page.evaluate("axe.run()");
      const said = violations.map((one) => `${one.impact} ${one.id}: ${one.nodes[0].html.slice(0, 120)}`);
      if (size[0] > width) said.push(`${size[0]} px wide`);
      wrong += said.length;
      console.log(`${width} px ${colorScheme} ${path}: ${size[1]} px high`, said.length ? said.join("\n  ") : "nothing found");
      const name = path.replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "") || "front";
      await page.screenshot({ path: `${folder}/${name}-${width}-${colorScheme}.png` });
    }
    await page.close();
  }
}
await browser.close();
process.exit(wrong ? 1 : 0);
