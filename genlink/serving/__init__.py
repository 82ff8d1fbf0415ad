"""A linker behind HTTP, and its page. FastAPI (the extra ``serve``) is imported by ``genlink.serving.app`` alone."""
