// Parses an AsyncAPI document and prints what was found, as JSON. Run where package.json was installed.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf-8"));
const problems = diagnostics
  .filter(({ code }) => code !== "asyncapi-latest-version")
  .map(({ code, path, message }) => `${path.join(".")}: ${message} (${code})`);
const operations = document ? document.operations().all().map((each) => each.id()) : [];
console.log(JSON.stringify({ problems, operations }));
