"""What can be known of the project before anybody is served."""

import asyncio
from typing import Final

from relay.errors import SchemaMissing, Unavailable
from relay.settings import Settings
from relay.upstream.rest import Rest

SECONDS: Final = 5.0


async def missing_schema(settings: Settings) -> str | None:
    """Why the relay cannot work with this project as it is; None also when it cannot be asked,
    which may pass."""
    rest = Rest(settings.supabase_url, settings.supabase_key, settings.gateway_key)
    try:
        async with asyncio.timeout(SECONDS):
            await rest.changes_since(None, epoch=None, page=1)
    except SchemaMissing as error:
        return str(error)
    except (Unavailable, TimeoutError):
        return None
    finally:
        await rest.close()
    return None
