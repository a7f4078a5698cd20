// Number of the planted fault that is active; 0 for none. See sim/netlist_faults.py.
static int active_fault = 0;
extern "C" int solsa_active_fault() { return active_fault; }
extern "C" void fault_select(int number) { active_fault = number; }
