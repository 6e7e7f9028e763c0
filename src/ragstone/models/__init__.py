"""Models behind ports: embedders turn text into vectors, generators turn prompts into text.

The only place that imports a model vendor's library, and only when that model is opened.
Start reading at `ports`, then `local`, which puts the bundled embedder together.
"""
