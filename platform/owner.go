package platform

// Or fills in from folder what o leaves open.
func (o Owner) Or(folder Owner) Owner { return Owner{o.or(folder.account)} }
