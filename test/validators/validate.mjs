// Holds AsyncAPI and OpenAPI documents (JSON files) against the validators that
// package.json names. Prints every mistake, and ends with 1 where there is one.
// The packages are looked for in the directory that NODE_MODULES names.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(process.env.NODE_MODULES + "/"));
const load = async (name) => import(pathToFileURL(require.resolve(name)));

const validators = {
  async asyncapi(text) {
    const { Parser } = (await load("@asyncapi/parser")).default;
    const { diagnostics, document } = await new Parser().parse(text);
    // 0 is an error, 1 a warning. Warnings are about style.
    const errors = diagnostics.filter((d) => d.severity === 0).map((d) => `${d.path.join(".")}: ${d.message}`);
    return document || errors.length ? errors : ["it was not read"];
  },
  async openapi(text) {
    const { Validator } = await load("@seriousme/openapi-schema-validator");
    const result = await new Validator().validate(JSON.parse(text));
    return result.valid ? [] : [].concat(result.errors).map((e) => (typeof e === "string" ? e : `${e.instancePath}: ${e.message}`));
  },
};

let wrong = 0;
for (const file of process.argv.slice(2)) {
  const text = await readFile(file, "utf8");
  const kind = Object.keys(validators).find((k) => k in JSON.parse(text));
  const found = kind ? await validators[kind](text) : ["it is neither AsyncAPI nor OpenAPI"];
  for (const line of found) console.log(`${file}: ${line}`);
  wrong += found.length;
}
process.exit(wrong ? 1 : 0);
