"""The command line `bayplan`: reads arguments, calls the controller, prints. Decides nothing itself."""
