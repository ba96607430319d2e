export * from "./client/client.js";
export * from "./client/commands.js";
