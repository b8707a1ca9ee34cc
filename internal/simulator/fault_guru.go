package simulator

var guruFaults = []Fault{}
