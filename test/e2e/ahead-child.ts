// Loaded before a command (`ahead`): its clock is ahead of the machine's, so what waits for a time has waited.
const by = Number(process.env.MODFERRY_TEST_AHEAD);
const { now } = Date;
Date.now = () => now() + by;
