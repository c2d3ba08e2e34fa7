"""What the directory looks like to clients: they know a `Source` and a `Registrar`, and neither daemon."""
