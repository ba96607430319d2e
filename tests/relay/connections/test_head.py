"""What load balancers ask, which want no body."""

import httpx

from relay.app import create_app
from relay.settings import Settings
from tests.relay.serving import serving

SETTINGS = Settings.from_env(
    {
        "SUPABASE_URL": "http://127.0.0.1:9",
        "SUPABASE_SECRET_KEY": "sb_secret_x",
        "RELAY_AUTH": "off",
    }
)


async def test_head_is_answered_like_get_without_the_body() -> None:
    app = create_app(SETTINGS, on_failure=lambda failure: None)
    async with (
        serving(app) as host,
        httpx.AsyncClient(base_url=f"http://{host}", timeout=60) as client,
    ):
        for path, status in (("/", 200), ("/healthz", 200), ("/readyz", 503), ("/metrics", 200)):
            whole, head = await client.get(path), await client.head(path)
            assert (head.status_code, head.content) == (whole.status_code, b"") == (status, b"")
            assert head.headers["content-type"] == whole.headers["content-type"]
        assert (await client.head("/hotspots/scan")).status_code == 405  # GET starts a scan
