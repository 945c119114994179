// node run.mjs PYTHON SCRIPT: run a script by that Python of node_modules, with this repository in /repo.
import { readFileSync } from "node:fs";

const [name, script] = process.argv.slice(2);
const here = import.meta.dirname ?? new URL(".", import.meta.url).pathname;
const { loadPyodide } = await import(`${here}/node_modules/${name}/pyodide.mjs`);
const python = await loadPyodide();
python.FS.mkdir("/repo");
python.FS.mount(python.FS.filesystems.NODEFS, { root: `${here}/../..` }, "/repo");
try {
  python.runPython(readFileSync(script, "utf8"));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
