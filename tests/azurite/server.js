// Azurite's table service, ended in order – what it keeps is written – once standard input ends, which it does with
// the process that started it.
const LONGEST_END_MS = 5000;

process.stdin.resume();
process.stdin.on("end", () => {
  process.emit("SIGINT");
  setTimeout(() => process.exit(1), LONGEST_END_MS).unref();
});

require("azurite/dist/src/table/main.js");
