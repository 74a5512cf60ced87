import pytest
from tiny_project import Project


@pytest.fixture(scope="session")
def new_project(tmp_path_factory):
    """A project in which nothing has run: to be copied, since DVC takes seconds to make one."""
    folder = tmp_path_factory.mktemp("new") / "project"
    folder.mkdir()
    return Project(folder)


@pytest.fixture
def project(new_project, tmp_path):
    return new_project.copy(tmp_path / "project")
