package simulator

var rowFaults = []Fault{}
