// The client package, under the address that pages import.
export * from "./client/client.js";
export * from "./client/commands.js";
