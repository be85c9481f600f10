int mpanet_cpu_placeholder();
