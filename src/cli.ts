/** Entry point of the `pagewalk` command; bundled to dist/cli.js. */
import { join } from "node:path";
import { main } from "./cli/main";
import { nodeIo } from "./cli/nodeIo";

main(process.argv.slice(2), nodeIo(join(__dirname, ".."))).then((status) => {
  process.exitCode = status;
});
