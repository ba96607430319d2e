import type { Storage } from "./client.js";

/** For this tab alone, some 5 MB for all that the page's origin keeps. */
export declare function inSession(session?: globalThis.Storage): Storage;

/** For all tabs of the origin, until the browser needs the room. */
export declare function inDatabase(factory?: IDBFactory): Storage;
