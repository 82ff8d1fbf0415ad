"""A Hub that nothing is sent to."""

from __future__ import annotations

from pathlib import Path


class FakeApi:
    """Keeps what would be uploaded."""

    def __init__(self) -> None:
        self.repositories: list[tuple[str, bool]] = []
        self.files: dict[str, bytes] = {}

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> None:
        assert exist_ok
        self.repositories.append((repo_id, private))

    def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str, allow_patterns: list[str]) -> None:
        assert repo_id == self.repositories[-1][0] and commit_message
        self.files = {name: (Path(folder_path) / name).read_bytes() for name in allow_patterns}
