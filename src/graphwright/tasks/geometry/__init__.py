"""geometry: a 3D vector (centre of mass, dipole) from points or atoms."""
