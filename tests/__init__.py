"""The tests of Ragstone; see CONTRIBUTING.md for what goes where."""
