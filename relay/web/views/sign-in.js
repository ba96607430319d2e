// The form by which somebody signs in: by e-mail and password where the relay knows the project's
// publishable key, or by a token.
import { html, useState } from "../dom.js";

export function SignIn({ page }) {
  const { reason, byPassword } = page.asksToSignIn.value;
  const [error, fail] = useState("");
  const [busy, work] = useState(false);
  const submits = (act) => async (event) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget);
    work(true);
    fail("");
    try {
      await act(given);
      page.signedIn();
    } catch (problem) {
      fail(problem.message);
    } finally {
      work(false);
    }
  };
  return html`<main class="sign-in" id="sign-in"><section class="card">
    <h2>Sign in</h2>
    <p class="dim">This relay shows its streams to users of the project.</p>
    ${byPassword && html`<form onSubmit=${submits((given) => page.session.signIn(given.get("email"), given.get("password")))}>
      <label>E-mail<input name="email" type="email" required autocomplete="username" /></label>
      <label>Password<input name="password" type="password" required autocomplete="current-password" /></label>
      <button class="btn main" disabled=${busy}>Sign in</button></form>`}
    <details open=${!byPassword || (page.session.signedIn && !page.session.renewable)}><summary>Use an access token</summary>
      <form onSubmit=${submits((given) => page.session.use(given.get("token").trim()))}>
        <label>Access token of a user<input name="token" type="password" required autocomplete="off" /></label>
        <button class="btn" disabled=${busy}>Use it</button></form></details>
    <p class="error" role="alert">${error || reason}</p>
  </section></main>`;
}
