"""The web app: pages for people, rendered here and kept working without scripts where that makes sense."""
