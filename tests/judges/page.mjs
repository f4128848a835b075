// Judges the page of `report`: by html-validate, and by Chromium where it is installed, without the network.
//
//     node tests/judges/page.mjs PROGRAM
//
// PROGRAM is the cognito-unlink executable. html-validate is taken from the current directory's node_modules. Prints a line for each
// check that fails, and the numbers of checks at the end.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const { HtmlValidate } = createRequire(`${process.cwd()}/`)("html-validate");

const SAMPLE = fileURLToPath(new URL("../../samples/purge.csv", import.meta.url));
const BROWSERS = ["chromium", "chromium-browser", "google-chrome"];
const WIDTHS = [500, 1280];

let passed = 0;
let failed = 0;

function check(what, problems) {
  if (problems.length === 0) {
    passed += 1;
  } else {
    failed += 1;
    console.log(`page: ${what}: ${problems.join("; ")}`);
  }
}

const folder = mkdtempSync(join(tmpdir(), "page-"));
const program = (...args) => spawnSync(process.argv[2], args, { cwd: folder, encoding: "utf8" });

// A page of a rehearsal with rows that are invalid, and one of results without a row.
const header = "identity_id,identity_pool_id,developer_provider_name,developer_user_identifier\n";
writeFileSync(join(folder, "people.csv"), `${readFileSync(SAMPLE, "utf8")}broken <b>&amp;\n`);
writeFileSync(join(folder, "nobody.csv"), header);
const pages = [];
for (const name of ["people", "nobody"]) {
  program("run", `${name}.csv`, "--rehearse", "--rate", "unlimited");
  const made = program("report", `${name}.rehearsal.csv`, "--html", `${name}.html`);
  check(`report on ${name}`, made.status === 0 || made.status === 1 ? [] : [made.stderr]);
  pages.push(join(folder, `${name}.html`));
}

const validator = new HtmlValidate({ extends: ["html-validate:recommended"] });
for (const page of pages) {
  const report = await validator.validateFile(page);
  const messages = report.results.flatMap((result) => result.messages);
  check(`validity of ${page}`, messages.map((message) => `${message.ruleId}: ${message.message}`));
}

const browser = BROWSERS.find((name) => spawnSync(name, ["--version"]).status === 0);
for (const page of browser ? pages : []) {
  for (const width of WIDTHS) {
    const shot = join(folder, "shot.png");
    const options = [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", `--user-data-dir=${join(folder, "profile")}`,
      // Nothing can be reached, and what the page says on its console goes to standard error.
      "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", `--window-size=${width},1600`,
      `--screenshot=${shot}`, `file://${page}`,
    ];
    const opened = spawnSync(browser, options, { encoding: "utf8", timeout: 120_000 });
    const said = opened.stderr.split("\n").filter((line) => line.includes(":CONSOLE"));
    check(`${browser} at ${width} px`, opened.status === 0 ? said : [`exit ${opened.status}`]);
  }
}

rmSync(folder, { recursive: true });
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
