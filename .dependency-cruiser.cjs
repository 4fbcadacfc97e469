/** The floors of the house: a folder imports only from the folders below it (see ARCHITECTURE.md). */
const floors = [
  ["paging", "bytes"],
  ["machine"],
  ["xen"],
  ["boot", "symbols"],
  ["target"],
  ["debug"],
  ["cli"],
  ["views"],
];
const pathOf = (room) => (room === "cli" ? `^src/${room}(/|\\.ts$)` : `^src/${room}/`);
const upward = floors.slice(0, -1).map((rooms, floor) => ({
  name: `floor-${floor}-${rooms.join("-")}`,
  severity: "error",
  comment: "A floor imports only from the floors below it.",
  from: { path: rooms.map(pathOf) },
  to: {
    path: floors
      .slice(floor + 1)
      .flat()
      .map(pathOf),
  },
}));
module.exports = {
  forbidden: [
    ...upward,
    {
      name: "symbols-boot-apart",
      severity: "error",
      comment: "boot and symbols share a floor; boot may read symbols, symbols knows no boot.",
      from: { path: "^src/symbols/" },
      to: { path: "^src/boot/" },
    },
    {
      name: "engine-no-node-no-vscode",
      severity: "error",
      comment: "The engine runs in a browser too: files come in as bytes.",
      from: { path: "^src/(paging|bytes|machine|boot|xen|symbols)/" },
      to: { dependencyTypes: ["core"] },
    },
    {
      name: "vscode-only-at-the-roof",
      severity: "error",
      from: { pathNot: "^(src/views/|src/extension\\.ts$|test/vscode/)" },
      to: { path: "(^|/)vscode($|/)" },
    },
    {
      name: "no-circular",
      severity: "error",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    { name: "src-not-test", severity: "error", from: { path: "^src/" }, to: { path: "^test/" } },
    {
      name: "views-know-no-machine",
      severity: "error",
      comment:
        "The views speak the debug protocol; without a session they decode entries. The extension stays small.",
      from: { path: "^src/(views/|extension\\.ts$)" },
      to: { path: "^src/", pathNot: "^src/(views|paging|debug/protocol|boot/programs)(/|\\.ts$)" },
    },
    {
      name: "webview-alone",
      severity: "error",
      comment: "The page runs in a browser, and knows messages only.",
      from: { path: "^webview/" },
      to: { path: "^src/", pathNot: "^src/debug/protocol/" },
    },
    {
      name: "not-resolvable",
      severity: "error",
      from: {},
      to: { couldNotResolve: true, pathNot: "^vscode$" },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { extensions: [".ts", ".mjs", ".js", ".json"] },
  },
};
