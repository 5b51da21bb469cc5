"""Hardware in the loop: devices that answer what a piece of a network's run costs."""
