/** `pagewalk dap`: the debug adapter on standard input and output, for editors that start adapters themselves. */
import { Connection } from "../debug/connection";
import { nodeHost } from "../debug/nodeHost";

/**
 * Speaks the Debug Adapter Protocol until the client disconnects or closes its end.
 * @param root the folder that holds package.json and guests/
 */
export function serveDap(root: string): Promise<void> {
  return new Promise((resolve) => {
    const connection = new Connection(nodeHost(root), () => {
      connection.session.end();
      process.stdin.destroy();
      resolve();
    });
    connection.start(process.stdin, process.stdout);
  });
}
