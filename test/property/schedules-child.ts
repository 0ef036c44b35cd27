import { runAsChild } from "./outcome.ts";
import { runSchedule } from "./run-schedule.ts";
import { schedule } from "./schedule.ts";

/** Schedules of a mirror's life. */
await runAsChild(schedule, runSchedule);
