"""The shapes that cross a process: frozen, explained where they are defined. A leaf: it imports only itself."""
