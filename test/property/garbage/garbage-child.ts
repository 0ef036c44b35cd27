import { runAsChild } from "../outcome.ts";
import { schedule } from "./garbage-schedule.ts";
import { runGarbageSchedule } from "./garbage-simulation.ts";

/** Schedules of a mirror that collects its garbage. */
await runAsChild(schedule, runGarbageSchedule);
