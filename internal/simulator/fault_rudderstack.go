package simulator

var rudderStackFaults = []Fault{}
