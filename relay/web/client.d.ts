export * from "./client/client.js";
