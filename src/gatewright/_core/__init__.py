"""What every guard and driver stands on. Nothing here imports a guard module."""
