"""Who is connected, from the handshake to the close code."""
