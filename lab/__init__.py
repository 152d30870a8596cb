"""lab: the ExpressRoute service around the edge router - topologies, life, checks, captures."""
