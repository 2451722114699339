"""What `bench/run` is made of; read install, machine, targets, load, scenarios, report."""
