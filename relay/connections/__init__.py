"""Client connections, from accept to the close code: HTTP, WebSocket, authentication, sessions."""
