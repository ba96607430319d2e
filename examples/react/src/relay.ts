import { RelayClient } from "hotspot-relay-client";
import { Commands } from "hotspot-relay-client/commands";
import { inSession } from "hotspot-relay-client/storage";

const TOKEN = "token";

// One client for the whole application, made outside of its components.
export const client = new RelayClient({
  url: import.meta.env.VITE_RELAY_URL ?? "http://127.0.0.1:8003",
  // With supabase-js: async () => (await supabase.auth.getSession()).data.session?.access_token
  token: () => sessionStorage.getItem(TOKEN),
  storage: inSession(),
});
export const commands = new Commands(client);

export function signIn(token: string): void {
  sessionStorage.setItem(TOKEN, token);
  client.setToken(() => sessionStorage.getItem(TOKEN));
}

client.connect();
