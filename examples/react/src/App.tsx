import { useState } from "react";
import { CloseCode, type Hotspot } from "hotspot-relay-client";
import { useRows } from "hotspot-relay-client/react";
import { client, commands, signIn } from "./relay";

// Outside of the components: functions that stay the same are not run again at each render.
const isOpen = (row: Hotspot): boolean => row.status === "active";
const worstFirst = (a: Hotspot, b: Hotspot): number => b.percent_above - a.percent_above;

export function App() {
  return (
    <main>
      <h1>Hotspots</h1>
      <Connection />
      <Summary />
      <List />
    </main>
  );
}

function Connection() {
  const { status } = useRows(client, "hotspots");
  if (status.state === "refused" && status.code === CloseCode.UNAUTHORIZED) return <SignIn reason={status.reason} />;
  if (status.state === "waiting") {
    return (
      <p role="status">
        Lost: {status.reason || `code ${status.code}`}.{" "}
        <button onClick={() => client.retryNow()}>Try again now</button>
      </p>
    );
  }
  return <p role="status">{status.state === "open" && status.upstream !== "live" ? status.upstream : status.state}</p>;
}

function SignIn({ reason }: { reason: string | undefined }) {
  return (
    <form action={(given) => signIn(String(given.get("token")).trim())}>
      <p>{reason}</p>
      <label>
        Access token <input name="token" required />
      </label>
      <button>Sign in</button>
    </form>
  );
}

// Two components follow the same channel: there is one socket.
function Summary() {
  const { rows, synced, complete } = useRows(client, "hotspots", { filter: isOpen });
  if (!synced) return <p>Loading …</p>;
  return (
    <p>
      <output>{rows.length}</output> open{complete ? "" : " among the newest"}
    </p>
  );
}

function List() {
  const { rows } = useRows(client, "hotspots", { filter: isOpen, compare: worstFirst });
  return (
    <ul>
      {rows.map((row) => (
        <Item key={row.id} row={row} />
      ))}
    </ul>
  );
}

function Item({ row }: { row: Hotspot }) {
  const [error, setError] = useState("");
  const resolve = () => commands.resolve(row.id).catch((reason: Error) => setError(reason.message));
  return (
    <li>
      <strong>{row.entity}</strong>: {row.predicted_co2} kg CO2e, {row.percent_above} % above the usual{" "}
      <button onClick={resolve}>Resolve</button> {error}
    </li>
  );
}
