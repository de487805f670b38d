"""The commands, one module a theme.

see         what there is: status, services, servers, overrides, plan, vrrp, doctor
hand        what an operator says by hand: drain, undrain, disable, enable, weight
steer       what moves the director: reload, look, failover, hold, release
events      what happens
config      the configuration file
realserver  a real server made ready, looked at, put back; no daemon is needed on it
completion  the shell's completion
"""
