"""The agent daemon: makes its node hold the containers that the controller assigned."""
