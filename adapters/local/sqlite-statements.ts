import type { DatabaseSync, StatementSync } from "node:sqlite";

const conditional = "ON CONFLICT DO NOTHING";

/** Every statement of the ledger, by what it does. */
const statements = {
  readVersion: "SELECT record FROM version WHERE path = ? AND version = ?",
  readModule: "SELECT record FROM version WHERE path = ?",
  insertVersion: `INSERT INTO version (path, version, revision, due, open_state, wanted_at, record)
    VALUES (?, ?, ?, ?, ?, ?, ?) ${conditional}`,
  updateVersion: `UPDATE version SET revision = ?, due = ?, open_state = ?, wanted_at = ?, record = ?
    WHERE path = ? AND version = ? AND revision = ?`,
  deleteVersion: "DELETE FROM version WHERE path = ? AND version = ? AND revision = ?",
  pageOfVersions: "SELECT record FROM version WHERE (path, version) > (?, ?) ORDER BY path, version LIMIT ?",
  dueVersions: "SELECT record FROM version WHERE due <= ? ORDER BY due LIMIT ?",

  inState: `SELECT record FROM version WHERE open_state = ? AND (wanted_at, path, version) > (?, ?, ?)
    ORDER BY wanted_at, path, version LIMIT ?`,
  countState: "SELECT count(*) AS n, min(wanted_at) AS oldest FROM version WHERE open_state = ?",
  addWork: `INSERT INTO open_work (feed, hour, open) VALUES (?, ?, ?)
    ON CONFLICT (feed, hour) DO UPDATE SET open = open + excluded.open`,
  openWork: "SELECT hour, open FROM open_work WHERE feed = ? AND hour < ? AND open <> 0 ORDER BY hour",
  forgetWork: "DELETE FROM open_work WHERE feed = ? AND hour < ? AND open = 0",

  readItem: "SELECT name, revision, value FROM item WHERE kind = ? AND name = ?",
  insertItem: `INSERT INTO item (kind, name, revision, value) VALUES (?, ?, ?, ?) ${conditional}`,
  updateItem: "UPDATE item SET revision = ?, value = ? WHERE kind = ? AND name = ? AND revision = ?",
  deleteItem: "DELETE FROM item WHERE kind = ? AND name = ? AND revision = ?",
  items: "SELECT name, revision, value FROM item WHERE kind = ? ORDER BY name",

  appendJournal: "INSERT INTO journal (hour, at, event, path, version) VALUES (?, ?, ?, ?, ?)",
  pageOfJournal: `SELECT hour, id, event, path, version, at FROM journal
    WHERE (hour, id) > (?, ?) AND hour <= ? AND at >= ? AND at < ? ORDER BY hour, id LIMIT ?`,

  readRequest: "SELECT record FROM request WHERE name = ? AND time = ?",
  insertRequest: `INSERT INTO request (name, time, revision, due, record) VALUES (?, ?, ?, ?, ?) ${conditional}`,
  updateRequest:
    "UPDATE request SET revision = ?, due = ?, record = ? WHERE name = ? AND time = ? AND revision = ?",
  deleteRequest: "DELETE FROM request WHERE name = ? AND time = ? AND revision = ?",
  deleteOrders: "DELETE FROM open_order WHERE name = ? AND time = ?",
  pageOfRequests: "SELECT record FROM request WHERE (name, time) > (?, ?) ORDER BY name, time LIMIT ?",
  dueRequests: "SELECT record FROM request WHERE due <= ? ORDER BY due LIMIT ?",
  openOrder: `INSERT INTO open_order (name, time, number) VALUES (?, ?, ?) ${conditional}`,
  closeOrder: "DELETE FROM open_order WHERE name = ? AND time = ? AND number = ?",
  countOrders: "SELECT count(*) AS n FROM open_order WHERE name = ? AND time = ?",

  newestHead: "SELECT size, hash, note FROM head WHERE database = ? ORDER BY size DESC LIMIT 1",
  addHead: `INSERT INTO head (database, size, hash, note) VALUES (?, ?, ?, ?) ${conditional}`,
  pageOfHeads: "SELECT size, hash, note FROM head WHERE database = ? AND size > ? ORDER BY size LIMIT ?",

  readStop: "SELECT at, evidence FROM stop WHERE database = ?",
  writeStop: `INSERT INTO stop (database, at, evidence) VALUES (?, ?, ?) ${conditional}`,
  liftStop: "DELETE FROM stop WHERE database = ? AND evidence = ?",

  readWatermark: "SELECT record FROM watermark WHERE feed = ?",
  insertWatermark: `INSERT INTO watermark (feed, revision, record) VALUES (?, ?, ?) ${conditional}`,
  updateWatermark: "UPDATE watermark SET revision = ?, record = ? WHERE feed = ? AND revision = ?",

  takeLease: `INSERT INTO lease (name, owner, until) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE
    SET owner = excluded.owner, until = excluded.until WHERE owner = excluded.owner OR until <= ?`,
  releaseLease: "DELETE FROM lease WHERE name = ? AND owner = ?",
};

export type Statements = Readonly<Record<keyof typeof statements, StatementSync>>;

/** Compiles every statement once. */
export function prepareStatements(database: DatabaseSync): Statements {
  const prepared = Object.entries(statements).map(([name, sql]) => [name, database.prepare(sql)]);
  return Object.fromEntries(prepared) as Statements;
}
