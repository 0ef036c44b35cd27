// Runs on any Node, before what needs 24: npm's package `node` brings it, unless npm was told to run no install scripts.
const NEEDED = 24;
if (Number(process.versions.node.split(".")[0]) < NEEDED) {
  console.error(
    `modferry: needs Node ${NEEDED} and runs on ${process.version}: \`npm rebuild node --ignore-scripts=false\` brings it`,
  );
  process.exit(2);
}
