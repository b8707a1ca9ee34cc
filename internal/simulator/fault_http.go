package simulator

var httpFaults = []Fault{}
