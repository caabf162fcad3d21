package desync

const gatewayFile = "SLUICE_DESYNC_GATEWAY"

func runGateway(string) int { return 0 }
