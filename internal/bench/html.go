package bench

func (r *Report) HTML(command string) ([]byte, error)       { return nil, nil }
func (r *GrowthReport) HTML(command string) ([]byte, error) { return nil, nil }
