"""The server of `ulmfit serve`: answers of trained models over HTTP. FastAPI and uvicorn speak the protocol."""
